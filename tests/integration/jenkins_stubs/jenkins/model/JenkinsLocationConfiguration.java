package jenkins.model;

public class JenkinsLocationConfiguration {
    public static JenkinsLocationConfiguration get() { return new JenkinsLocationConfiguration(); }

    public void setUrl(String url) { System.out.println("url " + url); }
}
